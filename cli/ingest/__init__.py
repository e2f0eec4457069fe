"""Take whole folders of market data in, over REST."""
