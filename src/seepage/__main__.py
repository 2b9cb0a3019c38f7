from seepage.cli import main

main()
