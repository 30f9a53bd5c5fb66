"""What every model needs: pinned weights, sessions, conversion, boxes."""
