"""Messages of ``p4/v1/p4runtime.proto``."""

from p4rt.pb import members

globals().update(members("p4/v1/p4runtime.proto"))
