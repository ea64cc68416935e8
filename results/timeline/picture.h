// A timeline as one SVG: a lane for each context of execution, in four colours; the clients' requests above them, the
// way of one request through all lanes, and below the number of connections that stand still.
#pragma once

#include <cstdint>
#include <string>

#include "results/timeline/timeline.h"

namespace bakeoff {

struct PictureFrame {
  std::int64_t length_ns = 0;  // of the time axis; several pictures with the same can be compared. 0: the timeline's
  double width_px = 960;
};

// An <svg> that stands by itself, and within a page: its parts have classes (on, socket, disk, ready, still, way, ink,
// soft, ...), so that the page's style can change their colours in the dark.
std::string picture_svg(const Timeline& timeline, const PictureFrame& frame);

// Where the time axis is in it, in its own units.
double picture_left_px();
double picture_right_px(const PictureFrame& frame);

// The colours of the four states and of what stands still, on white and in the dark.
struct StateLook {
  const char* css;  // its class
  const char* colour;
  const char* dark_colour;
  const char* label;
};
const StateLook& look_of(LaneState state);
const StateLook& look_of_still();

// The legend, as HTML list items with small pictures.
std::string legend_items();

}  // namespace bakeoff
