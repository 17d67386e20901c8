"""What a defect is; and those in what all scripts share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """One change of one script."""

    script: str
    text: str
    """Stands there exactly once."""
    instead: str
    breaks: str
    """What goes wrong, in words."""
    equivalent: str = ""
    """Why nobody could ever tell the difference; such a defect is not run."""


DEFECTS: tuple[Defect, ...] = (
    # What all share
    Defect(
        "_prelude",
        "j[1] == 'running' and j[2] == token and j[3] == session",
        "j[1] == 'running' and j[3] == session",
        "the fence does not compare the token",
    ),
    Defect(
        "_prelude",
        "j[1] == 'running' and j[2] == token and j[3] == session",
        "j[1] == 'running' and j[2] == token",
        "the fence does not compare the session",
    ),
    Defect(
        "_prelude",
        "j[1] == 'running' and j[2] == token and j[3] == session",
        "j[2] == token and j[3] == session",
        "the fence lets in who has settled",
    ),
    Defect(
        "_prelude",
        "if again then return 'again' end",
        "",
        "a repeated settlement is answered lost",
    ),
    Defect(
        "_prelude",
        "local again = how and settled == token .. ' ' .. how",
        "local again = how and settled ~= '' ",
        "any old settlement counts as a repetition",
    ),
    Defect(
        "_prelude",
        "if j[5] == token .. ' ' .. session then forgive(id, j[1], j[6]) end",
        "",
        "a worker that was only cut off is not forgiven",
    ),
    Defect(
        "_prelude",
        "if j[5] == token .. ' ' .. session then forgive",
        "if j[5] then forgive",
        "anyone's late call takes a crash back",
    ),
    Defect(
        "_prelude",
        "redis.call('HDEL', key('job', id), 'doubt')\n  if (tonumber",
        "if (tonumber",
        "one crash is taken back as often as the late worker calls",
    ),
    Defect(
        "_prelude",
        "if state == 'completed' or state == 'failed' or state == 'cancelled'"
        " then return end\n  redis.call('HDEL', key('job', id), 'doubt')",
        "redis.call('HDEL', key('job', id), 'doubt')",
        "an ended job's crashes change",
    ),
    Defect(
        "_prelude",
        "if (tonumber(crashes) or 0) > 0 then",
        "if true then",
        "crashes fall below none",
    ),
    Defect(
        "_prelude",
        "math.max(0, math.min(passed, tonumber(c[3]) or 2000))",
        "math.max(0, passed)",
        "a clock that jumps forward ends all leases",
    ),
    Defect(
        "_prelude",
        "math.max(0, math.min(passed, tonumber(c[3]) or 2000))",
        "math.min(passed, tonumber(c[3]) or 2000)",
        "the fleet clock runs backwards",
    ),
    Defect(
        "_prelude",
        "front and 'RPUSH' or 'LPUSH'",
        "front and 'LPUSH' or 'RPUSH'",
        "front and back are swapped",
    ),
    Defect(
        "_prelude",
        "  redis.call('UNLINK', key('doc', id))\nend",
        "end",
        "a waiting job's document is kept twice",
    ),
    Defect(
        "_prelude",
        "put(redis.call('GET', key('doc', id)), tonumber(priority) or 0, front)",
        "put(redis.call('GET', key('doc', id)), 0, front)",
        "a job loses its priority when it goes back",
    ),
    Defect(
        "_prelude",
        "  redis.call('ZADD', key('ended'), now_ms, id)\n  event(state, id)",
        "  event(state, id)",
        "an ended job is not in the history",
    ),
    Defect(
        "_prelude",
        "redis.call('HGET', key('job', old[i]), 'swallow') or 0) > 0",
        "redis.call('HGET', key('job', old[i]), 'swallow') or 0) > 9",
        "the history drops a job whose document may still surface",
    ),
    Defect(
        "_prelude",
        "for _, kind in ipairs({'job', 'doc', 'attempts', 'log'}) do",
        "for _, kind in ipairs({'job', 'doc', 'attempts'}) do",
        "a dropped job's log stays for ever",
    ),
    Defect(
        "_prelude",
        "redis.call('HDEL', key('session', session), 'job', 'token')",
        "redis.call('HDEL', key('session', session), 'token')",
        "a settled job stays in its worker's hand",
    ),
    Defect(
        "_prelude",
        "(string.gsub(shas, sha .. ' ?', '', 1))",
        "shas",
        "a document is swallowed in place of another one",
    ),
    Defect(
        "_prelude",
        "while last > 0 and string.find(raw, '^%s', last) do last = last - 1 end",
        "",
        "an editor's newline makes another document",
    ),
    Defect(
        "_prelude",
        "if priority > 0 then wake_idle() end",
        "",
        "idle workers do not hear of a job with a priority",
    ),
)
