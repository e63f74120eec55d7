"""Which models a session was heard by, as its Metadata says; nothing rests on it, so whatever cannot be read is left out."""

from __future__ import annotations

import msgspec


class _Model(msgspec.Struct):
    name: str = ""
    version: str = ""


class _Metadata(msgspec.Struct):
    model_info: dict[str, _Model] = {}


_metadata = msgspec.json.Decoder(_Metadata)


def models_of(metadata: str | bytes) -> tuple[str, ...]:
    """The name and version of each (Deepgram, Metadata: `model_info`). Never raises.

    >>> models_of('{"type": "Metadata", "model_info": {"c0d1": {"name": "2-general-nova", "version": "2024-01-18.26916"}}}')
    ('2-general-nova 2024-01-18.26916',)
    """
    try:
        found = _metadata.decode(metadata).model_info.values()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ()
    return tuple(f"{model.name} {model.version}".strip() for model in found if model.name)
