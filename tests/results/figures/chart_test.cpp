#include "results/figures/chart.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "results/figures/look.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

double linear_part(const std::string& hex, std::size_t at) {
  const double c = std::stoi(hex.substr(at, 2), nullptr, 16) / 255.0;
  return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
}
// WCAG's contrast of two colours "#rrggbb".
double contrast(const std::string& a, const std::string& b) {
  const auto luminance = [](const std::string& hex) {
    return 0.2126 * linear_part(hex, 1) + 0.7152 * linear_part(hex, 3) + 0.0722 * linear_part(hex, 5);
  };
  const double x = luminance(a), y = luminance(b);
  return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
}

}  // namespace

TEST_CASE("axes have round marks that hold the data") {
  const Ticks linear = ticks_of(ScaleKind::linear, 0, 97, 5);
  CHECK(linear.low == 0);
  CHECK(linear.high == 100);
  CHECK(linear.marks.size() == 6);
  const Ticks logarithmic = ticks_of(ScaleKind::logarithmic, 3, 700, 5);
  CHECK(logarithmic.low <= 3);
  CHECK(logarithmic.high >= 700);
  const Ticks single = ticks_of(ScaleKind::linear, 5, 5, 4);
  CHECK(single.low < 5);
  CHECK(single.high > 5);
  const Ticks nothing = ticks_of(ScaleKind::logarithmic, 0, 0, 4);
  CHECK(nothing.low > 0);
  CHECK(nothing.high > nothing.low);
}

TEST_CASE("whatever numbers a result holds, an axis has few marks, and they are numbers") {
  const double extremes[] = {-1.7e308, -1, 0, 5e-324, 1e-300, 1, std::nextafter(1.0, 2.0), 1e15, 1.7e308};
  for (const ScaleKind scale : {ScaleKind::linear, ScaleKind::logarithmic, ScaleKind::percentile}) {
    for (const double low : extremes) {
      for (const double high : extremes) {
        INFO(low << " to " << high);
        const Ticks ticks = ticks_of(scale, low, std::max(low, high), 5);
        CHECK(std::isfinite(ticks.low));
        CHECK(std::isfinite(ticks.high));
        CHECK(ticks.high > ticks.low);
        CHECK(ticks.marks.size() <= 110);
        for (const double mark : ticks.marks) CHECK(std::isfinite(mark));
      }
    }
  }
}

TEST_CASE("numbers have three digits") {
  CHECK(short_number(0) == "0");
  CHECK(short_number(0.98765) == "0.988");
  CHECK(short_number(12.34) == "12.3");
  CHECK(short_number(1234567) == "1,234,567");
  CHECK(short_number(std::nan("")) == "–");
  CHECK(tick_text(ScaleKind::percentile, 1000) == "99.9 %");
  CHECK(tick_text(ScaleKind::linear, 20000) == "20k");
}

TEST_CASE("every colour stands out from its background") {
  for (const Look& look : looks) {
    CHECK(contrast(look.colour, light_background) >= 3);
    CHECK(contrast(look.dark_colour, dark_background) >= 3);
  }
  CHECK(contrast(published_colour, light_background) >= 3);
  CHECK(contrast(published_dark_colour, dark_background) >= 3);
}

TEST_CASE("looks differ in more than colour") {
  for (std::size_t i = 0; i < looks.size(); ++i) {
    for (std::size_t j = i + 1; j < looks.size(); ++j)
      CHECK((looks[i].marker != looks[j].marker || std::string(looks[i].dashes) != looks[j].dashes));
  }
}
