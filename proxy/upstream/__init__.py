"""Where answers come from: one file per kind of upstream, one seam (`base.Upstream`)."""
