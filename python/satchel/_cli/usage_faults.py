"""Why nothing fresher is known of a quota, and what helps."""

from __future__ import annotations

from satchel._errors import UsageFault

_SAID = {
    UsageFault.NONE: "nobody says why",
    UsageFault.NO_CREDENTIALS: "no credentials were found; log in with Claude Code",
    UsageFault.SUBPROCESS_FAILED: "whoever has the credentials failed; log in with Claude Code",
    UsageFault.IO_ERROR: "the credentials cannot be read; look at who owns .credentials.json",
    UsageFault.PARSE_ERROR: "the answer, or the credentials, cannot be understood; update satchel",
    UsageFault.MISSING_FIELD: "the credentials have no access token; log in with Claude Code",
    UsageFault.EMPTY_TOKEN: "the access token is empty; log in with Claude Code",
    UsageFault.TIMEOUT: "the endpoint did not answer in time; --timeout gives it longer",
    UsageFault.RATE_LIMITED: "the endpoint asks to wait; it is asked again later by itself",
    UsageFault.NETWORK_ERROR: "the endpoint cannot be reached, or is in trouble",
    UsageFault.UNAUTHORIZED: "the endpoint refuses the token; it may have expired: use Claude Code",
    UsageFault.FORBIDDEN: "the token may not ask for the usage; log in again with Claude Code",
    UsageFault.NO_ENTRIES: "the transcripts hold no entries; --config-dir names other places",
    UsageFault.DIRECTORY_MISSING: "there are no transcripts; --config-dir names other places",
}


def explained(fault: UsageFault) -> str:
    """`RateLimited: the endpoint asks to wait; ...`."""
    return f"{fault.code}: {_SAID[fault]}"
