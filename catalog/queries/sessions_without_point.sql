-- Sessions that made no point that counts: interrupted, given up, fenced, or their points were forgotten.
SELECT s.session, w.label AS writer, s.state, s.entry_count, s.incarnation, s.epoch, s.slot
FROM sessions AS s
JOIN writers AS w ON w.repository = s.repository AND w.key = s.key
WHERE NOT EXISTS (SELECT 1 FROM points AS p WHERE p.repository = s.repository AND p.session = s.session)
ORDER BY s.repository, s.incarnation, s.epoch, s.slot;
