-- For each guest: bytes of the disks of its latest point as the guest sees them, and bytes that all its runs stored.
-- What one guest stored may serve others too: chunks are kept once.
WITH latest AS (
    SELECT repository, guest, point, content,
        row_number() OVER (
            PARTITION BY repository, guest ORDER BY taken_at_ns DESC, point DESC, content DESC) AS rank
    FROM points)
SELECT
    g.label AS guest,
    coalesce((
        SELECT sum(i.size_bytes) FROM images AS i
        JOIN latest AS l USING (repository, point, content)
        WHERE l.repository = g.repository AND l.guest = g.guest AND l.rank = 1), 0) AS size_bytes,
    coalesce((
        SELECT sum(r.stored_bytes) FROM runs AS r
        JOIN points AS p USING (repository, point, content)
        WHERE p.repository = g.repository AND p.guest = g.guest), 0) AS stored_bytes
FROM guests AS g
ORDER BY size_bytes DESC, g.label, g.guest;
