"""What servers of HTTP share, whatever they serve: the ingress, and `holdfast serve`.

Owns        who is connected, the clock that ticks for them, which HTTP a connection speaks, the graceful
            end; HTTP/2 on a socket, and the words of HTTP/1.1.
Promises    what lasts too long ends within a tick of its deadline, and costs a request nothing until then.
Never does  anything about what is asked: requests are the business of `ingress` and `serving`.

Frames and streams, which clients have as well, are in `http2`.
"""
