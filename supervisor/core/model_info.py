"""Which model a server says it uses, for a person who wonders whether it is the one that was meant."""

from __future__ import annotations

import msgspec

from .plain import plain


class _Model(msgspec.Struct):
    name: str = ""
    version: str = ""


class _About(msgspec.Struct):
    model_info: _Model = msgspec.field(default_factory=_Model)


class _Message(msgspec.Struct):
    type: str = ""
    metadata: _About = msgspec.field(default_factory=_About)
    model_info: dict[str, _Model] = msgspec.field(default_factory=dict)


_decoder = msgspec.json.Decoder(_Message)


def model_named(message: str | bytes) -> str:
    """The model that a Results or a Metadata tells of, or nothing. Never raises.

    Source: Deepgram, API reference of /v1/listen; Results has one model, Metadata has several by their ids.

    >>> model_named('{"type": "Results", "metadata": {"model_info": {"name": "general-nova-3", "version": "2025-01-09.0"}}}')
    'general-nova-3 2025-01-09.0'
    >>> model_named('{"type": "Metadata", "model_info": {"30089e05": {"name": "nova-3", "arch": "nova-3"}}}')
    'nova-3'
    """
    try:
        told = _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    models = [told.metadata.model_info, *told.model_info.values()]
    return next((plain(f"{model.name} {model.version}", 100) for model in models if model.name), "")
