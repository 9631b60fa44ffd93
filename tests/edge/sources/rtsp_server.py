"""A real RTSP server with a moving test picture; run by Debian's own Python, which has GStreamer's bindings.

    /usr/bin/python3 tests/edge/sources/rtsp_server.py PORT [mjpeg|h264]

It serves 160x120 at 30 frames a second under /cam, and says "ready" once it listens. Parameter sets of
H.264 are in its description alone, as some cameras have it.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
encoders = {
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
    "h264": "openh264enc gop-size=15 ! h264parse ! rtph264pay config-interval=0 name=pay0 pt=96",
}
codec = sys.argv[2] if len(sys.argv) > 2 else "mjpeg"
if codec == "h264" and Gst.ElementFactory.find("openh264enc") is None:
    sys.exit("no encoder of H.264: apt install gstreamer1.0-plugins-bad")
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory(shared=True)
factory.set_launch(
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=30/1"
    f" ! {encoders[codec]} )"
)
server.get_mount_points().add_factory("/cam", factory)
if not server.attach(None):
    sys.exit(f"port {sys.argv[1]} is taken")
print("ready", flush=True)
GLib.MainLoop().run()
