#include "harness/run/bundle.h"

#include <sys/stat.h>
#include <zlib.h>

#include <fstream>

#include "core/base/errors.h"
#include "harness/run/experiment.h"
#include "results/sha256.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

namespace {

std::string unpacked(const std::string& packed) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  std::string input = packed, text(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

void write(const std::filesystem::path& file, const std::string& text) { std::ofstream(file) << text; }

// A run's folder, as far as a bundle needs it.
void make_run(const std::filesystem::path& folder) {
  const std::string text =
      "[workload]\nname = \"single-file\"\n[load]\nconnections = 4\n[[server]]\narchitecture = "
      "\"sped\"\n[[server]]\noutside = \"nginx\"\n";
  write(folder / "spec.toml", text);
  write(folder / "plan.json", R"({"name": "small", "search": "run"})");
  write(folder / "environment.json", R"({"kernel": "Linux 6.1", "git_revision": null, "binaries": {"sped": "0123"}})");
  write(folder / "trials.jsonl", "");
  write(folder / "lock", "");
  std::filesystem::create_directories(folder / "inputs" / "workload");
  write(folder / "inputs" / "workload" / "single-file.toml", "kind = \"single-file\"\n");
  write(folder / "inputs.json",
        R"({"inputs": [{"kind": "workload", "written": "single-file", "copy": "inputs/workload/single-file.toml",
            "source": "/nowhere/single-file.toml", "sha256": ")" +
            sha256("kind = \"single-file\"\n") + R"("}]})");
  write(folder / "result.json",
        to_json(make_result(parse_specification(text, "spec.toml"), {}, {}, {}, nlohmann::json::object())).dump());
}

}  // namespace

TEST_CASE("an archive is a tar file of the same bytes each time") {
  const ArchiveFiles files = {{"a/one", "1"}, {"a/two", std::string(600, '2')}};
  const std::string tar = unpacked(tar_gz(files));
  CHECK(tar.size() >= 512 * (1 + 1 + 1 + 2 + 2));
  CHECK(tar.size() % 512 == 0);
  CHECK(tar.substr(0, 5) == "a/one");
  CHECK(tar.substr(257, 5) == "ustar");
  CHECK(tar.substr(512, 1) == "1");
  CHECK(tar.substr(1024 + 124, 11) == "00000001130");
  // The checksum: the sum of all bytes, its own field counted as blanks.
  std::size_t sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(tar[i]);
  CHECK(std::stoul(tar.substr(148, 6), nullptr, 8) == sum);
  CHECK(tar_gz(files) == tar_gz(files));
  CHECK_THROWS_AS(tar_gz({{std::string(101, 'x'), ""}}), UsageError);
}

TEST_CASE("a bundle holds the run, the definitions it names, and how to repeat it") {
  test::TempDir dir;
  make_run(dir.path());
  std::map<std::string, std::string> files;
  for (const auto& [name, text] : bundle_files(dir.path())) files[name] = text;
  for (const char* name :
       {"small/spec.toml", "small/plan.json", "small/environment.json", "small/trials.jsonl", "small/result.json",
        "small/SHA256SUMS", "small/README.md", "small/inputs.json", "small/inputs/workload/single-file.toml"}) {
    CHECK(files.count(name) == 1);
  }
  CHECK(files.count("small/lock") == 0);
  CHECK(files["small/README.md"].find("| sped | 0123 |") != std::string::npos);
  CHECK(files["small/README.md"].find("bakeoff run spec.toml") != std::string::npos);
  CHECK(files["small/SHA256SUMS"].find("  spec.toml\n") != std::string::npos);
}

TEST_CASE("a bundle of a stranger's folder holds nothing but that folder, under a name that leads nowhere else") {
  test::TempDir dir;
  make_run(dir.path());
  for (const char* name : {"../../../x", "a/b", "/etc", "..", ".hidden", ""}) {
    INFO(name);
    write(dir.path() / "plan.json", std::string(R"({"name": ")") + name + R"(", "search": "run"})");
    CHECK_THROWS_AS(bundle_files(dir.path()), UsageError);
  }
  make_run(dir.path());
  dir.write("elsewhere", "secret");
  std::filesystem::create_directory(dir.path() / "logs");
  std::filesystem::create_symlink("/etc/passwd", dir.path() / "logs/link");
  CHECK_THROWS_WITH(bundle_files(dir.path()), Catch::Contains("logs/link is a symbolic link"));
  std::filesystem::remove(dir.path() / "logs/link");
  std::filesystem::create_directory_symlink("/etc", dir.path() / "logs/link");
  CHECK_THROWS_WITH(bundle_files(dir.path()), Catch::Contains("logs/link is a symbolic link"));
  std::filesystem::remove(dir.path() / "logs/link");
  REQUIRE(::mkfifo((dir.path() / "logs/pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(bundle_files(dir.path()), Catch::Contains("logs/pipe is no file"));
  std::filesystem::remove(dir.path() / "logs/pipe");
  CHECK_NOTHROW(bundle_files(dir.path()));
  // The list of inputs names what has no end.
  write(dir.path() / "inputs.json", R"({"inputs": [{"copy": "../../../../../../../../dev/zero", "sha256": ""}]})");
  CHECK_THROWS_WITH(bundle_files(dir.path()), Catch::Contains("/dev/zero: it is a device, not a file"));
  make_run(dir.path());
  // The specification names a file outside of the folder: only copies that lie in the folder are packed.
  test::TempDir other;
  other.write("private.toml", "password = \"1234\"\n");
  write(dir.path() / "spec.toml", "[workload]\nname = \"" + (other.path() / "private.toml").string() +
                                      "\"\n[load]\nconnections = 4\n[[server]]\narchitecture = \"sped\"\n");
  for (const auto& [name, text] : bundle_files(dir.path())) CHECK(text.find("password") == std::string::npos);
}

TEST_CASE("what is no run's folder is not bundled") {
  test::TempDir dir;
  CHECK_THROWS_AS(bundle_files(dir.path()), UsageError);
  make_run(dir.path());
  write(dir.path() / "result.json", "{");
  CHECK_THROWS_AS(bundle_files(dir.path()), UsageError);
}
