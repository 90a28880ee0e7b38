#include "engine/model/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <utility>

#include "tests/support/gguf_writer.h"

namespace intactkv {
namespace {

using ::testing::HasSubstr;

std::string TempPath(const std::string& name) { return ::testing::TempDir() + name; }

TEST(MappedFileTest, MapsTheBytesAndKeepsThemThroughMoves) {
  const std::string path = TempPath("mapped_file_test");
  const std::vector<std::byte> content = {std::byte{1}, std::byte{2}, std::byte{3}};
  test::WriteBytes(path, content);
  absl::StatusOr<MappedFile> opened = MappedFile::Open(path);
  ASSERT_TRUE(opened.ok()) << opened.status();
  MappedFile moved = std::move(opened).value();
  MappedFile assigned;
  assigned = std::move(moved);
  EXPECT_TRUE(moved.bytes().empty());  // NOLINT(bugprone-use-after-move): that is the contract
  EXPECT_EQ(assigned.path(), path);
  ASSERT_EQ(assigned.bytes().size(), 3u);
  EXPECT_EQ(assigned.bytes()[2], std::byte{3});
}

TEST(MappedFileTest, ErrorsNameThePath) {
  const absl::Status missing = MappedFile::Open(TempPath("no_such_file")).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_THAT(missing.ToString(), HasSubstr("no_such_file: cannot be opened"));
  const absl::Status directory = MappedFile::Open(::testing::TempDir()).status();
  EXPECT_THAT(directory.ToString(), HasSubstr("is not a regular file"));
  const std::string path = TempPath("empty_file");
  test::WriteBytes(path, {});
  EXPECT_THAT(MappedFile::Open(path).status().ToString(), HasSubstr("empty_file: is empty"));
}

}  // namespace
}  // namespace intactkv
