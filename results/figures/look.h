// How series look: colours that people with any colour vision can distinguish, and, for print in grey, different
// markers and dashes. Every colour has a contrast of at least 3 to 1 to its background (WCAG 2.2, 1.4.11), as a
// test checks.
#pragma once

#include <array>
#include <cstddef>

namespace bakeoff {

enum class Marker { circle, square, triangle, diamond, cross, triangle_down };

struct Look {
  const char* colour;       // on white
  const char* dark_colour;  // on the page's dark background
  Marker marker;
  const char* vega_marker;  // the same in Vega's words
  const char* dashes;       // of SVG's stroke-dasharray; empty: none
};

// Okabe and Ito's colours, those that are too light for white made darker.
constexpr std::array<Look, 12> looks = {{
    {"#0072b2", "#56b4e9", Marker::circle, "circle", ""},
    {"#d55e00", "#ff8c42", Marker::square, "square", "6 2"},
    {"#00835e", "#2fd3a0", Marker::triangle, "triangle-up", "2 2"},
    {"#b0438f", "#e79ccb", Marker::diamond, "diamond", "8 2 2 2"},
    {"#444444", "#d0d0d0", Marker::cross, "cross", "4 3"},
    {"#9a6700", "#f0c040", Marker::triangle_down, "triangle-down", "10 3"},
    {"#5a4fcf", "#a9a1ff", Marker::square, "square", "1 3"},
    {"#a1281e", "#ff9a8f", Marker::circle, "circle", "10 2 2 2 2 2"},
    {"#1f7a8c", "#67d0e0", Marker::diamond, "diamond", "3 1"},
    {"#6b7a00", "#c6d84a", Marker::triangle, "triangle-up", "12 4"},
    {"#7a4a2b", "#d9a47e", Marker::cross, "cross", "5 1 1 1"},
    {"#c2185b", "#ff80ab", Marker::triangle_down, "triangle-down", "2 4"},
}};
constexpr const char* light_background = "#ffffff";
constexpr const char* dark_background = "#15181c";
constexpr const char* published_colour = "#767676";
constexpr const char* published_dark_colour = "#9aa3ad";

inline const Look& look_of(std::size_t index) { return looks[index % looks.size()]; }

}  // namespace bakeoff
