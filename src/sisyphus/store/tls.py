"""TLS to Redis: the files that the settings name, and what it means when TLS refuses."""

from __future__ import annotations

import ssl

from sisyphus.errors import ConfigError, StoreRefused
from sisyphus.settings import Settings


def tls_options(settings: Settings) -> dict[str, str]:
    """Give redis-py's options for the files that the settings name.

    They are loaded once here: Redis would else only seem to be away.

    Raises:
        ConfigError: a file cannot be used, or the URL is not one of TLS.
    """
    ca, certificate = settings.redis_ca, settings.redis_certificate
    files = {
        "redis_ca": ("ssl_ca_certs", ca),
        "redis_certificate": ("ssl_certfile", certificate),
        "redis_key": ("ssl_keyfile", settings.redis_key),
    }
    options: dict[str, str] = {}
    for setting, (option, file) in files.items():
        if file is not None:
            if not settings.redis_url.startswith("rediss:"):
                said = "is for TLS only: write rediss:// in redis_url"
                raise ConfigError(f"{setting}: {said}")
            options[option] = str(file)
    if settings.redis_key is not None and certificate is None:
        raise ConfigError("redis_key: needs redis_certificate as well")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    setting = "redis_ca"
    try:
        if ca is not None:
            context.load_verify_locations(ca)
        setting = "redis_certificate"
        if certificate is not None:
            # An empty password, lest OpenSSL asks for one on the terminal.
            context.load_cert_chain(certificate, settings.redis_key, password="")
    except OSError as error:  # of which ssl.SSLError is one
        if isinstance(error, ssl.SSLError):
            said = "is no PEM file of certificates, or its key does not fit"
        else:
            said = f"cannot be read: {error.strerror}"
        raise ConfigError(f"{setting}: {getattr(settings, setting)} {said}") from None
    return options


def tls_refusal(error: BaseException) -> StoreRefused | None:
    """Say what TLS refused, which waiting does not mend; nothing if it refused nothing."""
    reason = str(error)
    hints = {
        "CERTIFICATE_VERIFY_FAILED": _why_not_verified(reason),
        "CERTIFICATE_REQUIRED": "it wants a certificate of ours: set redis_certificate"
        " and redis_key",
        "ALERT_UNKNOWN_CA": "it does not know who signed our certificate",
        "ALERT_CERTIFICATE_EXPIRED": "our certificate has expired",
        "WRONG_VERSION_NUMBER": _NO_TLS,
        "RECORD_LAYER_FAILURE": _NO_TLS,
    }
    for word, hint in hints.items():
        if word in reason.upper().replace(" ", "_"):
            said = f"no TLS connection to Redis: {hint}"
            return StoreRefused(said, every_call=True)
    return None


def hint_at_tls(error: BaseException, *, tls: bool) -> str:
    """Ask what may be meant when a server hangs up on us before we have asked anything."""
    reason = str(error).lower()
    if not any(word in reason for word in ("reset", "eof", "closed", "pipe")):
        return ""
    if tls:
        return "; does it want a certificate of ours (redis_certificate)?"
    return "; does it want TLS (rediss://)?"


_NO_TLS = "it speaks none at this port: use its TLS port, or redis:// without TLS"


def _why_not_verified(reason: str) -> str:
    """Shorten OpenSSL's words on a certificate, and add what to do."""
    said = reason.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
    said = said or "its certificate is not good"
    if "issuer" in said or "self-signed" in said or "self signed" in said:
        said += ": set redis_ca to the certificate of who signed it"
    elif "mismatch" in said:
        said += ": use a name in redis_url that its certificate is made for"
    return said
