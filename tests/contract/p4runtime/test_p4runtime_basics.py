from p4rt import TableEntry, Update
import numpy as np, time


async def test_end_to_end(rig):
    client = await rig.primary()
    e = [TableEntry("endpoint", {"vni": 5001, "mac": i}, "to_port", {"port": 1, "vid": 7}) for i in range(1000)]
    assert await client.write([Update.insert(x) for x in e]) == []
    got = await client.read_table("endpoint")
    assert got == e
    f = await client.write(
        [Update.insert(e[0]), Update.delete(e[1]), Update.delete(TableEntry("endpoint", {"vni": 1, "mac": 1}))]
    )
    print(f)
    rng = np.random.default_rng(1)
    r = rig.plane.registers["EzIngress.monitor.stage1"]
    r[::3] = rng.integers(0, 256, r[::3].shape)
    t = time.perf_counter()
    got = await client.read_register("stage1")
    print("reg", time.perf_counter() - t)
    assert np.array_equal(got, r)
    t = time.perf_counter()
    got = await client.read_register("stage2")
    print("reg", time.perf_counter() - t)
    r[:] = rng.integers(0, 256, r.shape)
    for _ in range(3):
        t = time.perf_counter()
        got = await client.read_register("stage1")
        print("reg", time.perf_counter() - t)
    print(await client.read_counter("drops"))
    other = await rig.client()
    try:
        await other.become_primary(0)
    except Exception as x:
        print(repr(x), x)
    print(await other.get_pipeline())
    await other.become_primary(5)
    print(await client.wait_demoted())
    try:
        await client.write([Update.insert(e[0])])
    except Exception as x:
        print(repr(x), x)
