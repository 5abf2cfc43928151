-- Work for a heap: rows, indices, groups, joins, updates, text, and a vacuum; prints sums.
PRAGMA cache_size = 500;
CREATE TABLE item (id INTEGER PRIMARY KEY, family INTEGER, name TEXT, body BLOB);
WITH RECURSIVE number (n, state) AS (
    SELECT 1, 12345
    UNION ALL
    SELECT n + 1, (state * 1103515245 + 12345) % 2147483648 FROM number WHERE n < 40000)
INSERT INTO item SELECT n, (state >> 8) % 700, printf('name-%x', state), zeroblob(state % 90)
    FROM number;
CREATE INDEX by_family ON item (family, name);
CREATE UNIQUE INDEX by_name ON item (name, id);
SELECT 'families', count(*), sum(most), sum(length(names)) FROM (
    SELECT max(id) AS most, group_concat(name) AS names FROM item GROUP BY family);
SELECT 'join', count(*), sum(a.id * 3 + b.id) FROM item a JOIN item b
    ON a.family = b.family + 1 AND b.id % 50 = 0;
UPDATE item SET name = upper(name) || '-' || family, body = zeroblob(id % 200) WHERE id % 3 = 0;
DELETE FROM item WHERE family % 5 = 2;
SELECT 'rest', count(*), sum(length(name)), sum(length(body)) FROM item;
SELECT 'first', id, name FROM item ORDER BY substr(name, -4), id LIMIT 5;
SELECT 'window', sum(place) FROM (
    SELECT row_number() OVER (PARTITION BY family ORDER BY name DESC) AS place FROM item);
SELECT 'json', sum(json_extract(text, '$.a[1]')) FROM (
    SELECT json_object('a', json_array(id, family), 'b', name) AS text FROM item);
VACUUM;
ANALYZE;
PRAGMA integrity_check;
