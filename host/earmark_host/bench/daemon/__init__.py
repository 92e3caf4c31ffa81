"""``earmark-host bench daemon``: the whole daemon, as it runs for months.

How long a verdict takes, what it costs to wait for one, whether it grows, and whether it survives
being killed.
"""
