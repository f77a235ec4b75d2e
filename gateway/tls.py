"""The certificate: checked before a model is loaded, and read again when it was renewed."""

import ssl


class CertificateError(Exception):
    """It cannot be used; the message is one sentence that says what to do."""


def check_certificate(cert: str, key: str) -> None:
    """Whether a server can use it; raises as `load_certificate`."""
    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert, key)


def load_certificate(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Puts it into the context, for connections from now on.

    Args:
        cert: PEM file with the chain.
        key: PEM file with its private key; empty: it is in the same file.

    Raises:
        CertificateError: they cannot be read, or do not belong together.
    """

    def no_password() -> str:
        raise ValueError  # rather than asking for it on a terminal that nobody watches

    try:
        context.load_cert_chain(cert, key or None, no_password)
    except (OSError, ValueError) as error:
        raise CertificateError(
            f"the certificate {cert} and its key cannot be used ({_reason(error)}); "
            "give --tls-cert and --tls-key PEM files that belong together, without a password"
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return error.strerror or "unreadable" if isinstance(error, OSError) else "it has a password"
