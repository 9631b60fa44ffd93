"""segment-anything's model with random weights, small enough for tests."""

from __future__ import annotations

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

SIDE, CHANNELS = 256, 32
MEAN, STD = (torch.tensor(v) for v in ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))


def tiny_sam() -> Sam:
    torch.manual_seed(3)
    encoder = ImageEncoderViT(
        img_size=SIDE, embed_dim=16, depth=1, num_heads=2, out_chans=CHANNELS, global_attn_indexes=(0,)
    )
    prompts = PromptEncoder(CHANNELS, (16, 16), (SIDE, SIDE), 4)
    transformer = TwoWayTransformer(depth=1, embedding_dim=CHANNELS, num_heads=2, mlp_dim=16)
    decoder = MaskDecoder(transformer_dim=CHANNELS, transformer=transformer)
    return Sam(encoder, prompts, decoder, MEAN.tolist(), STD.tolist()).eval()
