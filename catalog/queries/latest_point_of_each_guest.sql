-- The latest point of each guest, by the time its host gave. A point with more than one row of its id is a conflict.
SELECT
    g.label AS guest,
    p.point,
    strftime('%Y-%m-%dT%H:%M:%SZ', p.taken_at_ns / 1000000000, 'unixepoch') AS taken_at,
    p.consistency,
    p.trust
FROM guests AS g
JOIN points AS p ON p.repository = g.repository AND p.guest = g.guest
WHERE p.taken_at_ns = (
    SELECT max(o.taken_at_ns) FROM points AS o WHERE o.repository = g.repository AND o.guest = g.guest)
ORDER BY g.repository, g.label, g.guest, p.point, p.content;
