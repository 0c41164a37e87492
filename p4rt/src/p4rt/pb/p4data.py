"""Messages of ``p4/v1/p4data.proto``."""

from p4rt.pb import members

globals().update(members("p4/v1/p4data.proto"))
