"""The technician's tool: declared measurements in, settings and a report out."""
