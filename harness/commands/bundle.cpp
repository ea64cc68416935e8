#include "harness/commands/commands.h"

#include <cstdio>
#include <ostream>

#include "harness/commands/command_line.h"
#include "harness/load/output_file.h"
#include "harness/run/bundle.h"

namespace bakeoff {

namespace po = boost::program_options;

int bundle_command(Reactor&, const Arguments& arguments) {
  po::options_description options("Options");
  std::string out;
  options.add_options()("out", po::value(&out)->value_name("FILE"),
                        "the archive (default: the run's folder with .tar.gz)");
  po::variables_map given;
  if (!read_options("bundle", arguments, options, 1, given)) return exit_status::fine;
  const std::filesystem::path folder = word(given, 0, "bundle", "a run's folder");
  if (out.empty()) out = std::filesystem::absolute(folder / "").lexically_normal().parent_path().string() + ".tar.gz";
  const OutputFile file(out);
  const ArchiveFiles files = bundle_files(folder);
  file.write([&](std::ostream& stream) { stream << tar_gz(files); });
  std::fprintf(stderr, "%s: %zu files\n", out.c_str(), files.size());
  return exit_status::fine;
}

}  // namespace bakeoff
