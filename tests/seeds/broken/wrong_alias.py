import torch
import numpy
a_numpy_array = numpy.ones(3)
torTensor = tor.as_tenor(a_numpy_array)
