// What is to be seen in a timeline, told from its events alone: a sentence that they do not bear out is not written.
#pragma once

#include <string>
#include <vector>

#include "results/timeline/timeline.h"

namespace bakeoff {

std::vector<std::string> sentences_of(const Timeline& timeline);

// "10.5 ms", with three digits.
std::string duration_text(std::int64_t ns);

// The lane as the subject of a sentence: "The loop", "Helper 1"; inside of one: "the loop", "helper 1".
std::string subject_of(const TimelineLane& lane);
std::string object_of(const TimelineLane& lane);

// The request whose way is drawn: the one that waited longest for the disk, else the slowest; empty: there is none.
std::optional<std::size_t> request_to_follow(const Timeline& timeline);

// How long a lane was in that state.
std::int64_t time_in(const TimelineLane& lane, LaneState state);

}  // namespace bakeoff
