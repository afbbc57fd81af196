"""Parts of the search for star clusters: the plane of the sky, its spanning tree and peaks."""
