"""Write what nginx needs to know of risk's shards; the rest of its configuration stays as it is."""

from collections.abc import Sequence

SOCKETS = "/run/keelson"

_HTTP = """\
# Made by `keelson nginx`; to be included in `http {{ }}`, and risk-location.conf in the server that callers reach.
#
# A request that names an account in its path goes to the account's shard, by the hash that risk has too
# (shared/shards.py). `hash` chooses among servers and not among groups of them: each shard is a socket of this nginx
# itself, and behind it the group of its replicas. Nothing there ever counts as failed (max_fails=0), as a shard that
# did would have its accounts sent to another one. TRADING_RISK_SHARDS of every process of risk must be their number,
# and TRADING_RISK_PEERS there must name all of them in the same order, the process's own shard too.
map $uri $keelson_account {{
    default "";
    "~^/api/v1/risk/accounts/(?<keelson_account_id>[^/]+)" $keelson_account_id;
}}

# Everything else goes to the shard that the caller means, by default to the first, and without it to the next.
map $http_x_keelson_shard $keelson_risk {{
    default risk_any;
{named}
}}

map $http_x_correlation_id $keelson_correlation {{
    default $http_x_correlation_id;
    "" $request_id;
}}

# Readers of the stream of events, by the shard they mean: each takes two of nginx's worker_connections.
limit_conn_zone $keelson_risk zone=keelson_streams:64k;

upstream risk_by_account {{
    hash $keelson_account;
{sockets}
    keepalive 64;
}}

upstream risk_any {{
{first}
{backups}    keepalive 16;
}}
"""

_SHARD = """
# Shard {number}: who stands by answers 503, and the next one is asked. max_fails=0 here too: a standby that counted as
# failed would be passed over just when it takes the lead.
upstream risk_shard_{number} {{
{servers}
    keepalive 64;
}}

server {{
    listen unix:{folder}/risk-{number}.sock;
    access_log off;
    client_max_body_size 0;
    location / {{
        proxy_pass http://risk_shard_{number};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_connect_timeout 1s;
        proxy_read_timeout 35s;
        # A POST may be sent again: orders, fills, cash and days are told by their ids, a kill switch by the one that
        # clients give it. Of the rest, limits get one more equal version, a reset and a release are 409.
        # Not http_504: that is a kill switch that some shard has not confirmed, and no other replica knows better.
        proxy_next_upstream error timeout http_502 http_503 non_idempotent;
        proxy_next_upstream_tries {tries};
        proxy_next_upstream_timeout 5s;
        proxy_buffering off;
    }}
}}
"""

_FULL = (
    '{"type": "urn:keelson:problem:dependency-unavailable", "title": "Dependency unavailable", "status": 503, '
    '"detail": "All 100 places for readers of the stream are taken", "correlation_id": "$request_id"}'
)

LOCATION = """\
# To be included in the server that callers reach; risk.conf has the rest. See there.
#
# A body is taken in whole before anybody is asked (proxy_request_buffering is on), and who sends none of it for
# client_body_timeout is let go. The server that includes this should bound a request's head in the same way, and
# answers that nobody reads: client_header_timeout 20s; send_timeout 30s.
#
# By a pattern: for a path that ends in a slash nginx would redirect the path without it.
location ~ ^/api/v1/risk/accounts/. {
    proxy_pass http://risk_by_account;
    # Never to another shard: it would refuse with 421.
    proxy_next_upstream off;
    client_body_timeout 30s;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Correlation-ID $keelson_correlation;
    proxy_read_timeout 35s;
}

# A reader that leaves ends its stream, and none takes the place of an order: 100 of each shard are let in.
location = /api/v1/risk/stream {
    limit_conn keelson_streams 100;
    limit_conn_status 503;
    error_page 503 @risk_streams_full;
    proxy_pass http://$keelson_risk;
    proxy_next_upstream error timeout http_502 http_503;
    proxy_next_upstream_timeout 5s;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Correlation-ID $keelson_correlation;
    client_body_timeout 30s;
    proxy_connect_timeout 1s;
    proxy_read_timeout 35s;
    proxy_buffering off;
}

location @risk_streams_full {
    default_type application/problem+json;
    add_header X-Correlation-ID $request_id always;
    add_header Retry-After 1 always;
    return 503 '@FULL@';
}

location /api/v1/risk/ {
    proxy_pass http://$keelson_risk;
    client_body_timeout 30s;
    proxy_next_upstream error timeout http_502 http_503 non_idempotent;
    proxy_next_upstream_timeout 5s;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Correlation-ID $keelson_correlation;
    proxy_connect_timeout 1s;
    proxy_read_timeout 35s;
    proxy_buffering off;
    # An account that is named in the body alone (POST /accounts, a kill switch), or a kill switch that is named in the
    # path: whoever was asked says whose it is.
    proxy_intercept_errors on;
    error_page 421 = @risk_right_shard;
}

location @risk_right_shard {
    # Read before it is asked again, as that forgets the first answer.
    set $keelson_right $upstream_http_x_keelson_shard_right;
    if ($keelson_right = "") {
        return 421;
    }
    proxy_pass http://risk_shard_$keelson_right;
    proxy_next_upstream error timeout http_502 http_503 non_idempotent;
    proxy_next_upstream_timeout 5s;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Keelson-Shard $keelson_right;
    proxy_set_header X-Correlation-ID $keelson_correlation;
    proxy_connect_timeout 1s;
    proxy_read_timeout 35s;
    proxy_buffering off;
}
""".replace("@FULL@", _FULL)


def render(shards: Sequence[Sequence[str]], folder: str = SOCKETS) -> str:
    """Return risk.conf for shards, each the `host:port` of its replicas; `folder` is where the sockets are made."""
    numbers = range(len(shards))
    head = _HTTP.format(
        named="\n".join(f'    "{number}" risk_shard_{number};' for number in numbers),
        sockets="\n".join(f"    server unix:{folder}/risk-{number}.sock max_fails=0;" for number in numbers),
        first=_servers(shards[0]),
        backups="".join(f"{_servers(replicas, ' backup')}\n" for replicas in shards[1:]),
    )
    return head + "".join(
        _SHARD.format(number=number, servers=_servers(replicas), folder=folder, tries=len(replicas))
        for number, replicas in enumerate(shards)
    )


def _servers(replicas: Sequence[str], also: str = "") -> str:
    return "\n".join(f"    server {replica} max_fails=0{also};" for replica in replicas)
