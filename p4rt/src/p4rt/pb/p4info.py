"""Messages of ``p4/config/v1/p4info.proto``."""

from p4rt.pb import members

globals().update(members("p4/config/v1/p4info.proto"))
