"""`ezpath console`: one page in a browser that shows what EZPath does, as it does it. It only looks on.

tunnels.py     where a pair's tunnel begins and ends; pure
flows.py       the flows, their rates so far, the moments of decision; pure
stories.py     the newest sagas, each as a timeline; pure
targets.py     switches, hosts, and how full tables are; pure
journal.py     the newest events, as lines; pure
page.py        all of it as the page's parts, and what of them somebody has not seen; pure
listening.py   from the bus to the page
server.py      from the page to browsers
static/        the page itself: HTML, CSS, JavaScript modules, a typeface
"""
