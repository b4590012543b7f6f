# an autoencoder with an optimizer for each half; one of them is forgotten
import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(10, 4), nn.Tanh())
decoder = nn.Linear(4, 10)
enc_opt = optim.Adam(encoder.parameters(), 1e-2)
dec_opt = optim.Adam(decoder.parameters(), 1e-2)


def train_step(batch):
    enc_opt.zero_grad()
    dec_opt.zero_grad()
    loss = nn.functional.mse_loss(decoder(encoder(batch)), batch)
    loss.backward()  # expect: GS405
    dec_opt.step()
    return float(loss)


for i in range(15):
    train_step(torch.randn(20, 10))
