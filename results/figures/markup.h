// Text as text within HTML and SVG, whatever is in it.
#pragma once

#include <string>
#include <string_view>

namespace bakeoff {

// For element content and quoted attributes. Control characters that XML has no way to write become U+FFFD.
std::string escaped(std::string_view text);

// For a <script type="application/json">: no character in it can end the element.
std::string script_safe(std::string json);

// How wide text is, about, in units of the font's size: wide letters and symbols of East Asia count double.
double text_width(std::string_view text);

// The text, or its beginning with an ellipsis where it is wider than `width` font sizes.
std::string shortened(const std::string& text, double width);

}  // namespace bakeoff
