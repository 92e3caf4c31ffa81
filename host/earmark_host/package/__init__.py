"""Packages for devices: what is flashed, and a list of all that is in it.

One holds the device part, its wheels unpacked, the units and the settings; nothing of the
workstation. Another, beside it, holds the technician's tool. Each is made by plain ``dpkg-deb``,
and the same checkout gives the same bytes.
"""
