"""Put an object on a receptacle: one scene in many settings, in and out of distribution. Importing it is cheap."""
