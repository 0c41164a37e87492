"""A small network that tests share: two racks of two hosts, two tenants with the same addresses."""

NETWORK = """
tenants:
  red: {vni: 5001}
  blue: {vni: 5002}
switches:
  tor1:
    rack: r1
    device_id: 1
    address: unix:/run/tor1.sock
    vtep: 10.255.0.1
    mac: "02:00:00:00:ff:01"
    ports:
      - {number: 1, address: 10.1.1.0}
      - {number: 2, address: 10.1.2.0}
      - {number: 10, address: 10.9.1.1, fabric: true}
  tor2:
    rack: r2
    device_id: 2
    address: unix:/run/tor2.sock
    vtep: 10.255.0.2
    mac: "02:00:00:00:ff:02"
    ports:
      - {number: 1, address: 10.1.3.0}
      - {number: 2, address: 10.1.4.0}
      - {number: 10, address: 10.9.2.1, fabric: true}
hosts:
  h11: {switch: tor1, port: 1, vtep: 10.1.1.1, ovsdb: "unix:/run/h11/db.sock", vlans: {first: 100, last: 102}}
  h12: {switch: tor1, port: 2, vtep: 10.1.2.1, ovsdb: "unix:/run/h12/db.sock", vlans: {first: 100, last: 102}}
  h21: {switch: tor2, port: 1, vtep: 10.1.3.1, ovsdb: "unix:/run/h21/db.sock", vlans: {first: 100, last: 102}}
  h22: {switch: tor2, port: 2, vtep: 10.1.4.1, ovsdb: "unix:/run/h22/db.sock", vlans: {first: 100, last: 102}}
endpoints:
  - {name: red-1, tenant: red, mac: "02:00:00:00:00:01", ip: 10.0.0.1, host: h11, interface: red1}
  - {name: red-2, tenant: red, mac: "02:00:00:00:00:02", ip: 10.0.0.2, host: h12, interface: red2}
  - {name: red-3, tenant: red, mac: "02:00:00:00:00:03", ip: 10.0.0.3, host: h21, interface: red3}
  - {name: red-4, tenant: red, mac: "02:00:00:00:00:04", ip: 10.0.0.4, host: h22, interface: red4}
  - {name: red-5, tenant: red, mac: "02:00:00:00:00:05", ip: 10.0.0.5, host: h11, interface: red5}
  - {name: blue-1, tenant: blue, mac: "02:00:00:00:00:01", ip: 10.0.0.1, host: h11, interface: blue1}
  - {name: blue-3, tenant: blue, mac: "02:00:00:00:00:03", ip: 10.0.0.3, host: h21, interface: blue3}
"""
