"""Great Expectations at the two boundaries: raw after a load, marts after a build."""
