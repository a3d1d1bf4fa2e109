# One answer of a server of databases to the request on standard input: a file, unless who asks has it.
version='"2"'
while IFS= read -r line && line=${line%$'\r'} && [ -n "$line" ]; do
    [ "${line,,}" != "if-none-match: $version" ] || known=yes
done
if [ -n "${known:-}" ]; then
    echo fetched-nothing-new >> /run/trial-mirror
    printf 'HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n'
else
    printf 'HTTP/1.1 200 OK\r\nETag: %s\r\nConnection: close\r\nContent-Length: %s\r\n\r\n' "$version" "$(stat --format=%s /run/trial-new.mmdb)"
    cat /run/trial-new.mmdb
fi
