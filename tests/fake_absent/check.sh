# Installed while the working copy has a file `fake_installed`; every question is noted.
echo "asked" >> asked.log
test -f fake_installed && exit 0
echo "no Absent in $PWD: touch fake_installed"
exit 3
