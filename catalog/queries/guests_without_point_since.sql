-- Guests that have no point taken at or after an instant, those that never had one first.
-- Parameter: nanoseconds since 1970, UTC. In the sqlite3 shell, for the last 24 hours:
--   .parameter set :since_ns "(unixepoch() - 86400) * 1000000000"
SELECT
    g.guest AS guest_id,
    g.label AS guest,
    strftime('%Y-%m-%dT%H:%M:%SZ', max(p.taken_at_ns) / 1000000000, 'unixepoch') AS latest
FROM guests AS g
LEFT JOIN points AS p ON p.repository = g.repository AND p.guest = g.guest
GROUP BY g.repository, g.guest
HAVING coalesce(max(p.taken_at_ns) < :since_ns, TRUE)
ORDER BY max(p.taken_at_ns) NULLS FIRST, g.label, g.guest;
