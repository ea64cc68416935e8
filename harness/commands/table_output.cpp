#include "harness/commands/table_output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "harness/commands/command_line.h"
#include "harness/run/progress.h"
#include "results/reference.h"

namespace bakeoff {

std::string beside(const Specification& spec, const ExperimentResult& result, const TableStyle& style) {
  return spec.reference.empty() ? "" : beside_reference(result, load_reference_table(spec.reference), style);
}

TableStyle style_of_stdout(bool wide) {
  TableStyle style;
  if (wide) style.width = 0;
  if (isatty(STDOUT_FILENO) != 1) return style;
  style.colour = may_colour();
  winsize size{};
  if (!wide && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40) style.width = size.ws_col;
  return style;
}

}  // namespace bakeoff
