-- Who made how many points, and when the first and the last of them were taken. Look at writers that are revoked.
WITH made AS MATERIALIZED (
    SELECT s.repository, s.key, p.point, p.taken_at_ns
    FROM points AS p
    JOIN sessions AS s USING (repository, session))
SELECT
    w.label AS writer,
    w.role,
    w.is_revoked,
    count(DISTINCT m.point) AS points,
    strftime('%Y-%m-%dT%H:%M:%SZ', min(m.taken_at_ns) / 1000000000, 'unixepoch') AS first_taken_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', max(m.taken_at_ns) / 1000000000, 'unixepoch') AS last_taken_at
FROM writers AS w
LEFT JOIN made AS m ON m.repository = w.repository AND m.key = w.key
GROUP BY w.repository, w.key
ORDER BY w.repository, w.statement, w.key;
