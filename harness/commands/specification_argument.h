// What the sub-commands that take a specification have in common.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/commands/commands.h"
#include "harness/plan/plan.h"
#include "harness/plan/specification.h"

namespace bakeoff {

constexpr const char* scale_help =
    "one of the specification's [scale.NAME], to fit it into minutes or to let it run for a night";

// The specification of a sub-command that takes nothing else; empty when only help was wanted.
std::optional<Specification> only_specification(const std::string& command, const Arguments& arguments);

// Says so on standard error when a run takes more than an hour.
// A slip such as duration = 500, which are seconds, is not noticed before the evening.
void say_if_long(const Specification& spec, const std::vector<Cell>& cells);

}  // namespace bakeoff
