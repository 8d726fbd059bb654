-- What each day's runs (by UTC day of their beginning) read and stored, and how long they took together.
SELECT
    strftime('%Y-%m-%d', started_at_ns / 1000000000, 'unixepoch') AS day,
    count(*) AS runs,
    sum(read_bytes) AS read_bytes,
    sum(changed_bytes) AS changed_bytes,
    sum(new_bytes) AS new_bytes,
    sum(stored_bytes) AS stored_bytes,
    sum(max(ended_at_ns - started_at_ns, 0)) / 1000000000 AS seconds
FROM runs
GROUP BY day
ORDER BY day;
