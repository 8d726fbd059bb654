-- Ids under which different things were said, each of them, with who said it. Should be empty.
SELECT p.point, p.label AS guest, w.label AS writer, p.session, p.entry,
    strftime('%Y-%m-%dT%H:%M:%SZ', p.taken_at_ns / 1000000000, 'unixepoch') AS taken_at
FROM points AS p
JOIN sessions AS s USING (repository, session)
JOIN writers AS w ON w.repository = s.repository AND w.key = s.key
WHERE (SELECT count(*) FROM points AS o WHERE o.repository = p.repository AND o.point = p.point) > 1
ORDER BY p.repository, p.point, s.incarnation, s.epoch, s.slot, p.entry, p.content;
