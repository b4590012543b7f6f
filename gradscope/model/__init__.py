"""The plain, frozen data that flows through gradscope: no tensors, no torch."""
