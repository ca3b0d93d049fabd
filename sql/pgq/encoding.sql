-- Texts of values in events (spec/pgq.md 9.2).


-- Encodes a text byte by byte in the server's encoding: letters, digits, `_`, `.` and `-` stay, a blank becomes `+`,
-- every other byte `%` and two lower-case hex digits. NULL gives NULL.
-- The ways are tried by what is met most: nothing to encode, the marks of numbers and times, ASCII, the rest.
-- It runs with the rights, search_path and settings of whoever changes a table: each name and operator is qualified,
-- and backslashes stand in E'' only.
create or replace function pgq.url_encode(i_text text)
returns text
language plpgsql
immutable
strict
parallel safe
as $$
declare
    encoded pg_catalog.text;
begin
    if i_text operator(pg_catalog.!~) '[^-_.a-zA-Z0-9]' collate pg_catalog."C" then
        return i_text;
    end if;

    encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
        pg_catalog.replace(pg_catalog.replace(i_text,
        '%', '%25'), '+', '%2b'), ' ', '+'), ':', '%3a'),
        '/', '%2f'), ',', '%2c');
    if encoded operator(pg_catalog.!~) '[^-_.a-zA-Z0-9+%]' collate pg_catalog."C" then
        return encoded;
    end if;

    encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
        '!', '%21'), '"', '%22'), '#', '%23'), '$', '%24'),
        '&', '%26'), '''', '%27'), '(', '%28'), ')', '%29');
    encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
        '*', '%2a'), ';', '%3b'), '<', '%3c'), '=', '%3d'),
        '>', '%3e'), '?', '%3f'), '@', '%40'), '[', '%5b');
    encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
        E'\\', '%5c'), ']', '%5d'), '^', '%5e'), '`', '%60'),
        '{', '%7b'), '|', '%7c'), '}', '%7d'), '~', '%7e');
    encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
        E'\x7f', '%7f'), E'\x09', '%09'), E'\x0a', '%0a'), E'\x0d', '%0d');
    if encoded operator(pg_catalog.!~) '[^-_.a-zA-Z0-9+%]' collate pg_catalog."C" then
        return encoded;
    end if;

    if encoded operator(pg_catalog.~) E'[\\x01-\\x1f]' collate pg_catalog."C" then
        encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
            pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
            E'\x01', '%01'), E'\x02', '%02'), E'\x03', '%03'), E'\x04', '%04'),
            E'\x05', '%05'), E'\x06', '%06'), E'\x07', '%07'), E'\x08', '%08');
        encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
            pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
            E'\x0b', '%0b'), E'\x0c', '%0c'), E'\x0e', '%0e'), E'\x0f', '%0f'),
            E'\x10', '%10'), E'\x11', '%11'), E'\x12', '%12'), E'\x13', '%13');
        encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
            pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
            E'\x14', '%14'), E'\x15', '%15'), E'\x16', '%16'), E'\x17', '%17'),
            E'\x18', '%18'), E'\x19', '%19'), E'\x1a', '%1a'), E'\x1b', '%1b');
        encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
            E'\x1c', '%1c'), E'\x1d', '%1d'), E'\x1e', '%1e'), E'\x1f', '%1f');
    end if;

    -- What is left are bytes above 0x7f. The escape form shows each as a backslash and three octal digits: the first
    -- two give the first hex digit and whether the second one is above 7 (`~`), the last one gives the rest.
    encoded := pg_catalog.encode(pg_catalog.convert_to(encoded, pg_catalog.getdatabaseencoding()), 'escape');
    encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
        E'\\20', '%8'), E'\\21', '%8~'), E'\\22', '%9'), E'\\23', '%9~'),
        E'\\24', '%a'), E'\\25', '%a~'), E'\\26', '%b'), E'\\27', '%b~');
    encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
        E'\\30', '%c'), E'\\31', '%c~'), E'\\32', '%d'), E'\\33', '%d~'),
        E'\\34', '%e'), E'\\35', '%e~'), E'\\36', '%f'), E'\\37', '%f~');
    encoded := pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(encoded,
        '~0', '8'), '~1', '9'), '~2', 'a'), '~3', 'b'),
        '~4', 'c'), '~5', 'd'), '~6', 'e'), '~7', 'f');
    return encoded;
end;
$$;

comment on function pgq.url_encode(text) is
    'Url-encodes a text as events carry it, byte by byte in the server''s encoding';
