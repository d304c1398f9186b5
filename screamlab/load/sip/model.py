"""A SIP device as a plan describes it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from screamlab.scenario.plan import Endpoint, SenderStream

MEDIA_TAIL_S = 0.2
"""A device hangs up this long after its audio has ended."""


class SipDevice(BaseModel):
    """One device: registers, shows presence, and where it has `media` calls the router with it.

    It registers at `from_s`, calls at once, plays its audio in the audio's own window, hangs up,
    and un-registers by `to_s`. `media` is RTP; where it really goes is what the router answers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    address: str = Field(description="IPv4 address it speaks from")
    registrar: Endpoint
    domain: str = Field(description="its SIP domain, which is the realm of its credentials")
    user: str
    password: str
    refresh_s: float = Field(default=30.0, gt=0, description="registers again after so long")
    from_s: float
    to_s: float
    media: SenderStream | None = Field(default=None, description="None: presence only")
    scenario_xml: str | None = Field(
        default=None, description="sipp: the text of a scenario of the user's own"
    )

    @model_validator(mode="after")
    def _audio_within(self) -> SipDevice:
        media = self.media
        if media is None:
            return self
        if media.protocol != "rtp":
            raise ValueError(f"{self.name}: the audio of a call is RTP, not {media.protocol}")
        if media.local.address != self.address:
            raise ValueError(f"{self.name}: its audio has to come from its own {self.address}")
        if not self.from_s <= media.from_s < media.to_s <= self.to_s:
            raise ValueError(f"{self.name}: its audio does not lie within its time")
        return self
