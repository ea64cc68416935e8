#include "harness/hosts/kit.h"

#include <unistd.h>

#include <cstdlib>

#include "core/base/errors.h"
#include "results/sha256.h"

namespace bakeoff {
namespace {

namespace fs = std::filesystem;

constexpr double copying_s = 300;

fs::path kits_dir() {
  if (const char* chosen = std::getenv("BAKEOFF_KITS"); chosen != nullptr && *chosen == '/') return chosen;
  return "/var/tmp/bakeoff-kits-" + std::to_string(getuid());
}

}  // namespace

void Kit::add(const std::string& name, const fs::path& file) { parts_[name] = {file, sha256_of_file(file)}; }

void Kit::add_all(const std::string& name, const fs::path& folder, const std::string& ending) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().extension() == ending)
      add(name + "/" + entry.path().filename().string(), entry.path());
  }
}

const fs::path& Kit::make() {
  std::string content;
  for (const auto& [name, part] : parts_) content += part.sha256 + "  " + name + "\n";
  folder_ = kits_dir() / sha256(content).substr(0, 32);
  if (fs::exists(folder_)) return folder_;
  const fs::path unfinished = folder_.string() + "." + std::to_string(getpid());
  try {
    for (const auto& [name, part] : parts_) {
      fs::create_directories((unfinished / name).parent_path());
      fs::copy_file(part.file, unfinished / name, fs::copy_options::overwrite_existing);
    }
    fs::permissions(kits_dir(), fs::perms::owner_all);
    std::error_code there;
    fs::rename(unfinished, folder_, there);  // by another run, meanwhile
    if (there) fs::remove_all(unfinished);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(unfinished, ignored);
    throw StartError(std::string("cannot make a copy of the programs for other hosts: ") + error.what());
  }
  return folder_;
}

std::vector<std::string> Kit::copy_to(const RemoteShell& shell, const std::vector<std::string>& hosts) const {
  const std::string there = shell_quoted(folder_.string());
  std::vector<std::string> missing;
  for (const auto& answer : shell.must_run(hosts, "if [ -d " + there + " ]; then echo has; else echo lacks; fi", 30)) {
    if (answer.output.find("lacks") != std::string::npos) missing.push_back(answer.host);
  }
  if (missing.empty()) return missing;
  const std::string parent = shell_quoted(folder_.parent_path().string());
  // A copy that breaks off leaves no folder of that name. Another run may have brought it meanwhile.
  shell.must_run(missing,
                 "umask 077 && mkdir -p " + parent + " && new=$(mktemp -d " + parent +
                     "/XXXXXX) && tar -xf - -C \"$new\" && " + "{ mv -T \"$new\" " + there +
                     " 2>/dev/null || { rm -rf \"$new\"; test -d " + there + "; }; }",
                 copying_s, "tar -cf - -C " + there + " .");
  return missing;
}

}  // namespace bakeoff
