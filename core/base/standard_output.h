// What a program says on standard output, to whoever reads it. A full disk or a reader that has gone is an error, never
// silence.
#pragma once

#include <string>

namespace bakeoff {

// StartError, with the reason, when it does not all get there. BLOCKS: until the reader takes it.
void write_to_standard_output(const std::string& text);

}  // namespace bakeoff
