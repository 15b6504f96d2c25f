"""What-if: what flows in a park when loads change. `twin.scenario` is its front."""
