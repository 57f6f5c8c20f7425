"""The kiosk (取号机): a page served on loopback beside a ticket printer; goes on giving numbers when the cloud is away (M04 R11)."""
